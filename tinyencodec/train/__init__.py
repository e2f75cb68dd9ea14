"""Training, in PyTorch: optional (`pip install 'tinyencodec[train]'`), and the only place that imports it.

In reading order:

    debian, sounds, packed, corpus   free audio in, packed for training
    augment, mixing, feed            clips from it
    fused, layers                    the codec once more, as PyTorch modules
    quantizer, network               its codebooks; all of it, to and from model folders
    average                          a running average of its weights
    transform, transform_start       weights to begin with: those of a transform codec
    initialise                       or random ones
    mel, fine, envelope, loudness    spectra, and what the ear makes of them
    losses                           what a good reconstruction is
    discriminator, balancer          the adversary; the share of each loss
    recipe, distributed, trainer     one step of training
    state_file, checkpoints          what is kept of a run, to go on from,
    validation, log                  and to look at
    command                          options, and how commands end
    resume, codec, export            the commands; what a run that goes on keeps
    refit                            codebooks fitted again, for what the decoder makes audible
    tables                           how often each code occurs, for entropy coding
    lm_twin, lm_recipe               the language model as a PyTorch module; the numbers of its training
    lm_codes, lm_batches             the codes it learns from
    lm_log, lm, lm_evaluate          its training; its bits per code on sounds held out
"""
