"""One alignment file's counts: records → mates paired → fragments → features."""
