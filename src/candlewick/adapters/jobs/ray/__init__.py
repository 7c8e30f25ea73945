"""Jobs kept in the service's database; those that need a process of their own run on a Ray cluster."""

from candlewick.adapters.jobs.ray.cluster import Cluster, RayUnavailable
from candlewick.adapters.jobs.ray.jobs import RayJobs

__all__ = ["Cluster", "RayJobs", "RayUnavailable"]
