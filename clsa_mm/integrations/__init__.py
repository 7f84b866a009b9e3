"""Bridges to packages that clsa_mm does not need: import the one that is wanted, by name.

``clsa_mm.integrations.mmdet`` is for detection, ``clsa_mm.integrations.mmselfsup`` for mmselfsup's
configs. Each changes what it must of the installed packages in memory, says so in the log, and is
imported by configs only, through ``custom_imports``.
"""
