"""Where objects come from: folders of manifests."""
