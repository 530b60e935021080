import Config

# In our own checkout cargo, bin/test and every Mix environment share one set of build artifacts.
# A project that depends on Blanket does not read this file: it builds below its own _build.
config :blanket, Blanket.Native, target_dir: Path.expand("../target", __DIR__)
