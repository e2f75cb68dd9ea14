"""`tinyencodec evaluate`: how good it sounds, in figures, beside Opus and MP3.

In reading order:

    clips                 which sounds
    codecs, programs      who codes them: our models and PCM; opusenc and lame
    match                 delay and level of what comes back (by spectra of `distance`)
    distance, listening   how far it is from the original: SI-SNR and mel distance; PESQ, STOI and ViSQOL
    spectral              errors by band, and whether the frames are heard
    codebooks             what a model makes of its codebooks
    measures              all measures, each with its title, kind of sound and direction
    figures               all of it
    report, plots         tables and a picture

Rates are those measured, not those asked for. But: no figure replaces listening. SI-SNR in particular favours a coder
that follows the waveform over one that sounds right.
"""
