defmodule ShoppingCart.Cluster do
  @moduledoc """
  The nodes that have the carts. Their schema is in memory, as the carts are.
  """

  @doc """
  Creates the table, once, on one of the nodes: all of them run Mnesia by then.
  """
  def create(nodes), do: ShoppingCart.create_table(nodes)

  @doc """
  Joins the nodes that run: whenever this one starts. What they have is here when it returns.
  """
  def join(nodes) do
    start()

    case :mnesia.change_config(:extra_db_nodes, nodes -- [node()]) do
      {:ok, []} -> :ok
      {:ok, _running} -> if created?(), do: ShoppingCart.await_table(), else: :ok
    end
  end

  # Before it joins: a schema that knows of Blanket's tables does not merge with one that does not.
  defp start do
    Application.put_env(:mnesia, :schema_location, :ram)
    :ok = :mnesia.start()
    :ok = Blanket.Mnesia.register()
  end

  defp created?, do: :cart_line in :mnesia.system_info(:tables)
end
