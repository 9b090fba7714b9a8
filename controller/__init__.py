"""The shell of a station: it performs the core's commands on real devices and posts what happened."""
