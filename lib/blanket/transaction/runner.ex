defmodule Blanket.Transaction.Runner do
  @moduledoc false

  # Runs the function of a transaction until a commit succeeds. One that has lost several times waits for
  # its turn, in which nobody else begins to change its tables.

  alias Blanket.Native
  alias Blanket.Transaction
  alias Blanket.Transaction.State

  # Attempts before a turn.
  @patience 5

  # A turn takes a second at most: one that is longer is passed on by those who wait.
  @longest_turn 1_000

  @spec run((Transaction.t() -> result), :infinity | non_neg_integer) ::
          {:ok, result} | {:error, term}
        when result: term
  def run(fun, retries) do
    case State.current() do
      nil -> attempt(%Transaction{id: :erlang.unique_integer()}, fun, retries, 1)
      {id, _, _, _, _, _} = state -> join(%Transaction{id: id}, fun, state)
    end
  end

  defp attempt(tx, fun, retries, number) do
    case try_once(tx, fun) do
      {:lost, state} -> retry(tx, fun, retries, number, state)
      outcome -> answer(outcome)
    end
  end

  defp retry(_tx, _fun, retries, number, _state) when number > retries, do: {:error, :conflict}

  defp retry(tx, fun, retries, number, _state) when number < @patience do
    :erlang.yield()
    attempt(tx, fun, retries, number + 1)
  end

  defp retry(tx, fun, retries, number, state) do
    case in_turn(State.references(state), fn -> try_once(tx, fun) end) do
      {:lost, state} -> retry(tx, fun, retries, number + 1, state)
      outcome -> answer(outcome)
    end
  end

  defp try_once(%Transaction{id: id} = tx, fun) do
    State.begin(id)
    outcome = call(tx, fun)
    state = State.finish()
    done? = outcome != :conflict and commit?(state, match?({:ok, _}, outcome))
    # Or else what a deleted table had would be kept until this process collects its garbage.
    State.end_watches(state)
    if done?, do: outcome, else: {:lost, state}
  end

  defp call(%Transaction{id: id} = tx, fun) do
    {:ok, fun.(tx)}
  catch
    :throw, {:"$blanket_abort", ^id, reason} -> {:error, reason}
    :throw, {:"$blanket_conflict", ^id} -> :conflict
    kind, reason -> {:raise, kind, reason, __STACKTRACE__}
  end

  defp answer({:raise, kind, reason, stacktrace}), do: :erlang.raise(kind, reason, stacktrace)
  defp answer(answer), do: answer

  # An abort or an exception, too, is only for what was there at one instant.
  defp commit?({_, _, references, places, watches, written?}, done?) do
    write? = done? and written?

    if not write? and map_size(places) <= 1 and map_size(watches) == 0 do
      true
    else
      tables = references |> :lists.reverse() |> List.to_tuple()

      with :large <- Native.commit(tables, places, watches, write?),
           do: Native.commit_large(tables, places, watches, write?)
    end
  end

  # What the inner one wrote is the outer one's, unless it fails.
  defp join(%Transaction{id: id} = tx, fun, state) do
    {:ok, fun.(tx)}
  catch
    :throw, {:"$blanket_abort", ^id, reason} ->
      State.undo_to(state)
      {:error, reason}

    kind, reason ->
      State.undo_to(state)
      :erlang.raise(kind, reason, __STACKTRACE__)
  end

  defp in_turn(tables, fun) do
    {turn, has_come?} = Native.join_turn(tables)

    try do
      unless has_come?, do: await(turn)
      fun.()
    after
      Native.leave_turn(turn)
    end
  end

  defp await(turn) do
    receive do
      {:"$blanket_turn", ^turn} -> :ok
    after
      @longest_turn ->
        Native.pass_turn()
        await(turn)
    end
  end
end
