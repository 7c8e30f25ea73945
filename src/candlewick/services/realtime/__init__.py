"""WebSocket fan-out with snapshots, resume and honest ends."""
