defmodule RateLimiter.MixProject do
  use Mix.Project

  def project do
    [
      app: :rate_limiter,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:blanket, path: "../.."}],
      # Of the checkout: cargo does not build for each example what it has built there.
      config_path: "../../config/config.exs"
    ]
  end

  def application do
    [mod: {RateLimiter.Application, []}, extra_applications: [:logger]]
  end
end
