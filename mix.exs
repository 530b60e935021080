# Required here, not compiled with lib/: it has to run before there is anything in lib/ to call.
Code.require_file("native/mix_compiler.exs", __DIR__)

defmodule Blanket.MixProject do
  use Mix.Project

  # Of PropEr, for the tests, and of Mnesia, which whoever uses it starts.
  @optional_modules ~w(proper proper_arith mnesia mnesia_schema mnesia_ext_sup mnesia_lib mnesia_monitor)a

  def project do
    [
      app: :blanket,
      version: Mix.Tasks.Compile.BlanketNif.cargo_field("version"),
      elixir: "~> 1.14",
      compilers: [:blanket_nif | Mix.compilers()],
      elixirc_paths: elixirc_paths(Mix.env()),
      test_ignore_filters: ["test/browser.exs", "test/fuzz.exs"],
      elixirc_options: [no_warn_undefined: @optional_modules],
      xref: xref(),
      start_permanent: Mix.env() == :prod,
      deps: [],
      name: "Blanket",
      description: "ETS tables that outlive the processes that own them",
      docs: docs(),
      package: package()
    ]
  end

  # Elixir 1.14 looks here for what the option of the compiler says to those after it.
  defp xref do
    if Version.match?(System.version(), "< 1.15.0"), do: [exclude: @optional_modules], else: []
  end

  defp docs do
    [
      main: "readme",
      extras:
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE"] ++
          Enum.sort(Path.wildcard("guides/*.md")),
      assets: %{"guides/images" => "images", "bench/images" => "bench/images"}
    ]
  end

  def application do
    [mod: {Blanket.Application, []}, extra_applications: extra_applications(Mix.env())]
  end

  # PropEr comes with the system's Erlang, not as a dependency. Without inets there is only no web page.
  defp extra_applications(:test), do: [:proper | extra_applications(:dev)]
  defp extra_applications(_), do: [:logger, inets: :optional]

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_), do: ["lib"]

  defp package do
    [
      licenses: ["Apache-2.0"],
      links: %{},
      files: [
        "lib",
        "guides",
        "bench/images",
        "mix.exs",
        "native/mix_compiler.exs",
        "native/*/Cargo.toml",
        "native/*/src",
        ".cargo",
        ".formatter.exs",
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE"
      ]
    ]
  end
end
