"""Notifications: what happened, who is told, by webhook or e-mail; kept until they are delivered."""
