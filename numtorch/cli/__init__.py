"""The commands of `numtorch`, one module each; they import the library only when they run."""
