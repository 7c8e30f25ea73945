"""What several SQLite adapters share. The log's file is ``logfile.LogFile``; start reading there."""
