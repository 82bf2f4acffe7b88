"""A typed client for a running service: mask, generate, synthesize, audit, run chains over GraphQL; wait; fetch the result.

from synth_assets.client import Client

client = Client("https://synth.example.org", exchange="s3://bucket/exchange")
job = client.mask([{"name": "Ann Smith", "age": 41}], policy="hipaa_safe_harbor")
masked = job.wait().frame()
"""

from synth_assets.client.client import Client
from synth_assets.client.jobs import Job, Outcome

__all__ = ["Client", "Job", "Outcome"]
