"""Samplers: temperature, memory, later power, watched while something runs. The port and a fake."""
