"""`tinyencodec batch`: many files, one after the other in each of several processes.

    tasks    which output each file becomes, and how one is coded
    report   what became of them
"""
