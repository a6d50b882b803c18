"""What `reel demo` makes: recordings to try this on, where nobody has any."""
