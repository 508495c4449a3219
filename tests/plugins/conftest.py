"""The files in `parts` are plugins: only a configuration imports them."""

collect_ignore_glob = ["parts/*"]
