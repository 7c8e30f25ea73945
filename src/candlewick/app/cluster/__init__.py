"""What an operator's commands do to a cluster's servers, and to the processes on one machine."""
