"""Records, vocabulary, audio, configuration, plug-in lookup and storage: what every room shares. Imports nothing else of ours."""
