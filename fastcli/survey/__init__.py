"""Looks at data before anything is trained, without torch: what it consists of, and what is wrong with it.

One idea: *first facts, then words*. `samples` says which picture is what and where it takes part, by the components
that training uses; `examine` decodes each file once and keeps what is to be known of it; all that is found or shown is
made from these facts. Findings have a severity that means something: an `error` stops a training or falsifies its
figures, a `warning` deserves a look, a `note` is only told.

- `recognise`, `layout`, `tables`, `masks`: how a folder is arranged
- `samples`: which picture is what, and where it takes part
- `examine`: one picture, decoded; `sizes`: of a sample, by headers; `twins`: pictures that are the same
- `check`, `faults`, `class_names`, `findings`: what is wrong; `page`: it on a page, with pictures
- `image_search`, `gather`: pictures from the web
- `stats`: counts, sizes, colours; `pixels`: the numbers that a picture is made of

Rejected: opening pictures through the data loaders (two seconds of imports for a question about files, and a scaled
decode would miss the broken end of a file).
"""
