"""The dialogue simulator of Spolacq: tasks, the scenario automaton, sessions and environments."""
