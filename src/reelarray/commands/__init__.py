"""What the subcommands of `reel` do: arguments in, public functions called, a summary printed, an exit code out."""
