"""What runs Candlewick on servers: made from the code where it follows from it, and checked where it is written."""
