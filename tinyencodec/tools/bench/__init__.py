"""`tinyencodec bench`: how fast the codec is on this machine, and how much memory it takes.

Speed is told in times real time: seconds of sound per second of work. Models named like an official one stand
for that size with random weights, since speed does not depend on them. Other programs that are installed
(`--against`) do the same work in the same process, in turn with ours, so that other work on the machine
affects both alike; ratios are medians over such pairs of runs.

But: a peer runs its own model of the same size, not the same weights. Parity is another question, which the tests
answer.

    subject   models, and a sound to give them
    speed     encoding and decoding, frame by frame and layer by layer
    peers     other programs that do the same work
    child     memory and start-up, each in a process of its own
    runs      all of it
    report    the figures as a table
"""
