[
  inputs: [
    "{mix,.formatter}.exs",
    "native/mix_compiler.exs",
    "{bench,chaos,config,crash,demo,examples,guides,lib,soak,test}/**/*.{ex,exs}"
  ]
]
