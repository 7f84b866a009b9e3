"""What every detection config adds to mmdet's own: our hooks' and operations' imports, a seed.

Each names the checkpoint's hook itself, as mmdet's configs hold the dictionary that it belongs to, and
switches off what mmdet would download (``init_cfg=None``).
"""

custom_imports = dict(imports=['clsa_mm', 'clsa_mm.integrations.mmdet'], allow_failed_imports=False)
randomness = dict(seed=0)
