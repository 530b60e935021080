[
  inputs: [
    "{mix,.formatter}.exs",
    "native/mix_compiler.exs",
    "{bench,chaos,config,demo,lib,test}/**/*.{ex,exs}"
  ]
]
