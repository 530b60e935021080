defmodule ShoppingCart do
  @moduledoc """
  Carts, on every node of the cluster: a line for each product in one.
  """

  # {:cart_line, {customer, product}, customer, quantity}
  @lines :cart_line

  @doc """
  Puts as many of the product into the customer's cart, and answers how many are in it.
  """
  def add(customer, product, quantity) do
    key = {customer, product}

    {:atomic, sum} =
      :mnesia.transaction(fn ->
        sum = quantity + in_cart(:mnesia.read(@lines, key, :write))
        :mnesia.write({@lines, key, customer, sum})
        sum
      end)

    sum
  end

  defp in_cart([]), do: 0
  defp in_cart([{@lines, _key, _customer, quantity}]), do: quantity

  @doc """
  What is in the cart, as this node knows it.
  """
  def items(customer),
    do:
      Enum.sort(for line <- :mnesia.dirty_index_read(@lines, customer, :customer), do: item(line))

  @doc """
  Empties the cart, and answers what was in it: each item to one caller, whoever calls at the same time.
  """
  def check_out(customer) do
    {:atomic, items} =
      :mnesia.transaction(fn ->
        :mnesia.write_lock_table(@lines)
        lines = :mnesia.index_read(@lines, customer, :customer)
        for {@lines, key, _customer, _quantity} <- lines, do: :mnesia.delete({@lines, key})
        Enum.sort(Enum.map(lines, &item/1))
      end)

    items
  end

  defp item({@lines, {_customer, product}, _, quantity}), do: {product, quantity}

  @doc false
  def create_table(nodes) do
    {:atomic, :ok} =
      :mnesia.create_table(@lines,
        blanket_copies: nodes,
        attributes: [:key, :customer, :quantity],
        index: [:customer]
      )

    :ok
  end

  @doc false
  def await_table, do: :ok = :mnesia.wait_for_tables([@lines], 30_000)
end
