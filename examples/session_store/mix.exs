defmodule SessionStore.MixProject do
  use Mix.Project

  def project do
    [
      app: :session_store,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:blanket, path: "../.."}],
      # Of the checkout: cargo does not build for each example what it has built there.
      config_path: "../../config/config.exs"
    ]
  end

  def application do
    [mod: {SessionStore.Application, []}, extra_applications: [:crypto, :inets, :logger]]
  end
end
