"""Values and tools without business opinion. No service name, no venue name, no SQL, no business rule."""
