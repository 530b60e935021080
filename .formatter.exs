[
  inputs: [
    "{mix,.formatter}.exs",
    "native/mix_compiler.exs",
    "{bench,chaos,config,demo,examples,guides,lib,soak,test}/**/*.{ex,exs}"
  ]
]
