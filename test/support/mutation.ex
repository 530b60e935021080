defmodule Blanket.Mutation do
  @moduledoc """
  Terms with something in them that is different.
  """

  @doc """
  The term with one part of it replaced, left out, doubled or put elsewhere. `other` makes what comes in
  its place.
  """
  @spec mutate(term, (() -> term)) :: term
  def mutate(tuple, other) when is_tuple(tuple) and tuple_size(tuple) > 0 do
    at = :rand.uniform(tuple_size(tuple)) - 1

    case :rand.uniform(8) do
      1 -> Tuple.delete_at(tuple, at)
      2 -> Tuple.insert_at(tuple, at, other.())
      3 -> elem(tuple, at)
      _ -> put_elem(tuple, at, mutate(elem(tuple, at), other))
    end
  end

  def mutate([head | tail], other) do
    case :rand.uniform(8) do
      1 -> tail
      2 -> [head, other.() | tail]
      3 -> [head, head | tail]
      n when n <= 5 -> [head | mutate(tail, other)]
      _ -> [mutate(head, other) | tail]
    end
  end

  def mutate(map, other) when is_map(map) and map_size(map) > 0 do
    {key, value} = Enum.random(map)

    case :rand.uniform(4) do
      1 -> Map.delete(map, key)
      2 -> map |> Map.delete(key) |> Map.put(mutate(key, other), value)
      _ -> Map.put(map, key, mutate(value, other))
    end
  end

  def mutate(term, other) do
    case :rand.uniform(4) do
      1 -> like(term, other)
      2 -> {term, other.()}
      _ -> other.()
    end
  end

  defp like(number, _other) when is_integer(number), do: number + :rand.uniform(5) - 3
  defp like(number, _other) when is_float(number), do: number / 2

  defp like(bits, _other) when is_bitstring(bits) and bit_size(bits) > 0 do
    {part, [bit | rest]} =
      Enum.split(for(<<bit::1 <- bits>>, do: bit), :rand.uniform(bit_size(bits)) - 1)

    Enum.random([of_bits(part), of_bits(part ++ [1 - bit | rest]), <<bits::bitstring, 0>>])
  end

  defp like(_term, other), do: other.()

  @doc "A part of the term, be it the term itself."
  @spec part(term) :: term
  def part(term) do
    case {:rand.uniform(3), term} do
      {1, _} -> term
      {_, [head | tail]} -> part(Enum.random([head, tail]))
      {_, tuple} when is_tuple(tuple) and tuple_size(tuple) > 0 -> tuple |> any() |> part()
      _ -> term
    end
  end

  defp any(tuple), do: elem(tuple, :rand.uniform(tuple_size(tuple)) - 1)

  defp of_bits(bits), do: for(bit <- bits, into: <<>>, do: <<bit::1>>)
end
