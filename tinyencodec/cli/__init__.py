"""The command line: one file for each command.

    main        arguments to exit code
    commands    the commands by name, imported when called
    parser      help and complaints
    options     arguments that several commands share
    code        `tinyencodec INPUT [OUTPUT]`
    info, batch, codes, models, fetch, convert, export, bench, evaluate, compare, tokenize, completion   commands

Only `__main__` imports this.
"""
