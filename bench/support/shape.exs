defmodule Bench.Shape do
  @moduledoc "What several workloads have in common: names, tables that are full, how often to run."

  alias Bench.Data

  @doc "How the workloads of a group with so many objects are headed."
  def heading(group, nil), do: group
  def heading(group, size), do: "#{group}, #{count(size)} objects"

  def count(n) when n >= 1_000_000, do: "#{div(n, 1_000_000)} M"
  def count(n) when n >= 1000, do: "#{div(n, 1000)} k"
  def count(n), do: "#{n}"

  def empty(type), do: fn loops, options -> loops.new([type | options]) end

  @doc "Full of objects that came one by one, in random order."
  def full(type, kind, shape, size),
    do: full(type, fn -> Data.objects(kind, shape, size, :random) end)

  def full(type, objects) do
    fn loops, options ->
      t = loops.new([type | options])
      loops.insert(t, objects.())
      t
    end
  end

  @doc "How often `calls` have to run for `wanted` of them."
  def times(calls, wanted), do: max(div(wanted, calls), 1)

  @doc "Tells lists in different orders apart where the table has an order."
  def digest(:ordered_set), do: &:erlang.phash2/1
  def digest(_hash), do: &unordered/1

  defp unordered(list), do: {length(list), Enum.reduce(list, 0, &(:erlang.phash2(&1) + &2))}
end
