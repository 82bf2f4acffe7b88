"""Jobs, schedules, sensors, and the runner behind the command line."""
