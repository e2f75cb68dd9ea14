"""The tests, in folders that mirror the package.

    promises/   what cuts across it: parity, exactness, threats, bad inputs, interruptions, pipes, and that bits stay
    helpers/    what several tests share: small models, running the program, a server, writers of foreign files
    parity/     against `encodec` and `transformers` (extra `parity`)
    train/      training (extra `train`)
    slow/       the built package, many processes, hours of sound
    fuzz/       damaged files for every parser
    tutorials/  the chapters and the site
    golden/, data/   fixtures and recordings

`python -m pytest` runs all but parity, train, slow and tutorials.
"""
