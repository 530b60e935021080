defmodule Blanket.Linearizability do
  @moduledoc """
  Tells whether a history of concurrent calls can be explained by calls made one after the other.

  A history is linearizable if there is an order of its calls in which each gives the answer that it gave,
  and in which a call that had returned before another was made comes before it.

  The search follows Wing and Gong: of the calls that could be next, it tries each on the model, and goes
  back where none fits. As Lowe proposed, it remembers the configurations that it has been in. Since each
  process makes one call at a time, a configuration is how many calls of each process have been taken,
  and the state of the model.
  """

  @typedoc """
  One call of a process, with the times of its begin and its end. Where the process was killed in it,
  it returned never, and may have happened or not.
  """
  @type event :: %{
          call: term,
          answer: term,
          began: integer,
          ended: integer | :never
        }

  @typedoc "What a call answers in a state, and the state after it."
  @type model :: (call :: term, state :: term -> {answer :: term, state :: term})

  @doc """
  Checks the events of several processes, each in their order.

  The error is the configuration that explains the most: the state, and the call of each process that would
  be next.
  """
  @spec check([[event]], state :: term, model) :: :ok | {:error, %{state: term, next: [event]}}
  def check(history, state, model) do
    search([{history, state}], MapSet.new(), model, {left(history), history, state})
  end

  defp search([], _seen, _model, {_left, rest, state}),
    do: {:error, %{state: state, next: for([event | _] <- rest, do: event)}}

  defp search([{rest, state} | others], seen, model, best) do
    configuration = {Enum.map(rest, &length/1), state}

    cond do
      explained?(rest) ->
        :ok

      MapSet.member?(seen, configuration) ->
        search(others, seen, model, best)

      true ->
        best = if left(rest) < elem(best, 0), do: {left(rest), rest, state}, else: best
        next = successors(rest, state, model)
        search(next ++ others, MapSet.put(seen, configuration), model, best)
    end
  end

  # A call that never returned need not have happened.
  defp explained?(rest), do: Enum.all?(rest, &(&1 == [] or hd(&1).ended == :never))

  defp left(rest), do: rest |> Enum.map(&length/1) |> Enum.sum()

  defp successors(rest, state, model) do
    # As terms, every integer is less than :never.
    first_end = for([event | _] <- rest, do: event.ended) |> Enum.min()

    for {[event | later], index} <- Enum.with_index(rest),
        event.began <= first_end,
        {answer, state} = model.(event.call, state),
        event.ended == :never or answer === event.answer do
      {List.replace_at(rest, index, later), state}
    end
  end
end
