"""What every database needs to describe its tables in the words of both dialects."""
