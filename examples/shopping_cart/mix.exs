defmodule ShoppingCart.MixProject do
  use Mix.Project

  def project do
    [
      app: :shopping_cart,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:blanket, path: "../.."}],
      # Of the checkout: cargo does not build for each example what it has built there.
      config_path: "../../config/config.exs"
    ]
  end

  # Mnesia is started when its kinds of table are known, see ShoppingCart.Cluster.
  def application do
    [extra_applications: [:logger], included_applications: [:mnesia]]
  end
end
