[
  inputs: [
    "{mix,.formatter}.exs",
    "native/mix_compiler.exs",
    "{bench,config,demo,lib,test}/**/*.{ex,exs}"
  ]
]
