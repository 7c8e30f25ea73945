"""Large immutable things in a bucket of an S3 server."""

from candlewick.adapters.objects.s3.bucket import S3Bucket
from candlewick.adapters.objects.s3.objects import S3Objects

__all__ = ["S3Bucket", "S3Objects"]
