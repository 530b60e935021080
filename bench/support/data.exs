defmodule Bench.Data do
  @moduledoc """
  Keys and objects, made before the clock runs.

  They are persistent terms: no process copies them, and none has them in its heap to collect.
  """

  @doc "The key of a kind that has the number `i`."
  def key(:integer, i), do: i
  def key(:binary, i), do: "user:session:" <> String.pad_leading("#{i}", 10, "0")
  def key(:tuple, i), do: {:user, i, "abc"}

  @doc "An object: flat, with `i` as its value, or with a map of ten fields."
  def object(kind, :flat, i), do: {key(kind, i), i}
  def object(kind, :map, i), do: {key(kind, i), fields(i)}

  def fields(i) do
    %{
      id: i,
      name: "user #{i}",
      email: "user.#{i}@example.com",
      age: rem(i, 90),
      admin: rem(i, 100) == 0,
      score: i / 7,
      role: :member,
      tags: [:new, :active],
      visits: i * 3,
      place: {rem(i, 180), rem(i, 90)}
    }
  end

  @doc "The keys from 1 to `n`, in `:random` or `:ascending` order."
  def keys(kind, n, order) do
    cached({:keys, kind, n, order}, fn -> for i <- numbers(n, order), do: key(kind, i) end)
  end

  @doc "Objects with the keys from 1 to `n`."
  def objects(kind, shape, n, order) do
    cached({:objects, kind, shape, n, order}, fn ->
      for i <- numbers(n, order), do: object(kind, shape, i)
    end)
  end

  @doc "The same objects as lists of a thousand."
  def lists(kind, n, order) do
    cached({:lists, kind, n, order}, fn ->
      Enum.chunk_every(objects(kind, :flat, n, order), 1000)
    end)
  end

  @doc "Keys from 1 to `n` at random, each at most four times: `sample_size/2` of them."
  def sample(kind, n, wanted) do
    cached({:sample, kind, n, wanted}, fn -> for i <- some(n, wanted), do: key(kind, i) end)
  end

  @doc "Objects with such keys, and other values than `objects/4` has."
  def other_objects(kind, n, wanted) do
    cached({:other_objects, kind, n, wanted}, fn ->
      for i <- some(n, wanted), do: {key(kind, i), -i}
    end)
  end

  def sample_size(n, wanted) when wanted <= n, do: wanted
  def sample_size(n, wanted), do: n * min(4, div(wanted, n))

  @doc "Makes a term once."
  def cached(what, make) do
    with nil <- :persistent_term.get({__MODULE__, what}, nil) do
      # The same at every run, but no two in the same order.
      :rand.seed(:exsss, :erlang.phash2(what))
      :persistent_term.put({__MODULE__, what}, make.())
      :persistent_term.get({__MODULE__, what})
    end
  end

  @doc "Forgets all terms made so far."
  def forget do
    for {{__MODULE__, _what} = key, _term} <- :persistent_term.get(),
        do: :persistent_term.erase(key)
  end

  defp numbers(n, :ascending), do: 1..n
  defp numbers(n, :random), do: Enum.shuffle(1..n)

  defp some(n, wanted) when wanted <= n, do: Enum.take(Enum.shuffle(1..n), wanted)

  defp some(n, wanted) do
    Enum.flat_map(1..div(sample_size(n, wanted), n), fn _ -> Enum.shuffle(1..n) end)
  end
end
