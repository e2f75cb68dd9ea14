"""The command line: one file for each command.

    main        arguments to exit code
    parser      help and complaints
    options     arguments that several commands share
    code        `tinyencodec INPUT [OUTPUT]`
    codes, batch, models, fetch, evaluate, compare, tokenize, completion   the commands of these names

Only `__main__` imports this.
"""
