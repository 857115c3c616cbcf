"""The bundle, NAME-VERSION.edge: its archive, its manifest, reading and writing one."""
