"""`tinyencodec compare`: one page to hear and see what each bitrate does to a sound.

In reading order:

    renditions   the original and what the model makes of it, with figures
    pictures     spectrograms, and where they differ from the original's
    page         all of it as one HTML file (page.html, page.css and page.js beside it)

The page needs no network and no server: sounds and pictures are in it. Figures are those of
`tools.evaluate`. But: it is one sound. `tinyencodec evaluate` tells, from many, how good a model is.
"""
