defmodule Blanket.Property do
  @moduledoc """
  Runs PropEr properties, within ExUnit or without.
  """

  @type verdict :: :ok | (complaint :: String.t())

  @doc """
  Tries `property` on `count` instances of `generator`, which the seed determines.

  The property answers `:ok`, or a text that tells what went wrong. A failing instance is shrunk.
  """
  @spec run(term, pos_integer, (term -> verdict), integer) ::
          :ok | {:failed, complaint :: String.t(), instance :: term}
  def run(generator, count, property, seed) do
    test =
      :proper.setup(
        fn ->
          :proper_arith.rand_start({seed, 271, 828})
          fn -> :ok end
        end,
        :proper.forall(generator, &holds?(property, &1))
      )

    case :proper.quickcheck(test, [:quiet, :long_result, numtests: count, max_shrinks: 300]) do
      true -> :ok
      [counterexample] -> {:failed, Process.get(__MODULE__), counterexample}
    end
  end

  @doc """
  Does as `run/4` with ExUnit's seed, so that `mix test --seed` with that of a failed run tries the very
  same instances again. A failing instance is shown as `present` makes it.
  """
  def check(generator, count, property, present \\ & &1) do
    seed = ExUnit.configuration()[:seed]

    with {:failed, complaint, instance} <- run(generator, count, property, seed) do
      ExUnit.Assertions.flunk("""
      #{complaint}

      shrunk to
      #{inspect(present.(instance), pretty: true, limit: :infinity, printable_limit: :infinity)}

      run again by mix test --seed #{seed}
      """)
    end
  end

  # What went wrong last went wrong with the smallest instance.
  defp holds?(property, instance) do
    case verdict(property, instance) do
      :ok ->
        true

      complaint ->
        Process.put(__MODULE__, complaint)
        false
    end
  end

  # PropEr must see no exception: it would shrink towards another one.
  defp verdict(property, instance) do
    property.(instance)
  catch
    kind, reason -> "#{inspect({kind, reason})}\n#{Exception.format_stacktrace(__STACKTRACE__)}"
  end

  @doc """
  Counts commands, for `counting/1`.
  """
  @spec count(non_neg_integer) :: :ok
  def count(commands) do
    Process.put({__MODULE__, :commands}, Process.get({__MODULE__, :commands}, 0) + commands)
    :ok
  end

  @doc """
  Tells how many commands were counted while `fun` ran.
  """
  @spec counting((() -> term)) :: non_neg_integer
  def counting(fun) do
    Process.put({__MODULE__, :commands}, 0)
    fun.()
    Process.get({__MODULE__, :commands})
  end

  @doc "`:ok` where both answers are the same, or a text that shows both."
  def compare(_what, same, same), do: :ok

  def compare(what, expected, got) do
    """
    #{inspect(what, limit: 50)}
    :ets answers    #{inspect(expected, limit: 50)}
    Blanket answers #{inspect(got, limit: 50)}
    """
  end
end
